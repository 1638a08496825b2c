"""One file a kind of visitor. A kind's methods are its steps; each says what comes next by `crowd.again` or `done`."""
