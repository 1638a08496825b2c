"""The only code that knows Redis or Valkey: keys, scripts, the lines of all rooms, and the embedded server."""
