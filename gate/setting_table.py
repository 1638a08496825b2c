"""The table of all settings: one row each, with TOML key, environment name, default, what is allowed and help.

`settings.py` reads files against it, `docs/configuration.md` shows it, a test holds the two together.
"""
# ruff: noqa: E501  (one row a line)

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gate import values


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: `parse` turns what was written into a value or raises ValueError with what is allowed."""

    table: str
    key: str
    parse: Callable[[Any], Any]
    default: Any
    help: str

    @property
    def env(self) -> str:
        """The environment variable's name."""
        short = "GATE_" if self.table == "server" else f"GATE_{self.table.upper()}_"
        return _ENV_NAMES.get((self.table, self.key), short + self.key.upper())


_ENV_NAMES = {("store", "state_dir"): "GATE_STATE_DIR", ("tokens", "keys_file"): "GATE_KEYS_FILE"}
_seconds, _count, _choice = values.seconds, values.count, values.choice

TABLE: tuple[Setting, ...] = (
    Setting("server", "listen", values.listen, ("127.0.0.1", 8080), "Where visitors connect, HOST:PORT."),
    Setting("server", "admin_listen", values.listen, ("127.0.0.1", 9090), "Where operators connect, HOST:PORT."),
    Setting("server", "workers", values.workers, 1, "Worker processes on the public listener: a number, or `auto` for one a core."),
    Setting("server", "trusted_proxies", values.networks, (), "Networks whose X-Forwarded-For and -Proto are believed."),
    Setting("server", "public_scheme", _choice("http", "https", ""), "", "The scheme visitors use; found out if empty."),
    Setting("server", "tls_cert", values.file, "", "Certificate chain (PEM) for the public listener."),
    Setting("server", "tls_key", values.file, "", "Private key (PEM) for the public listener."),
    Setting("server", "header_timeout", _seconds(1, 120), 15.0, "Longest time for a request's head to arrive."),
    Setting("server", "body_rate", values.number(0, 1e9), 1_024.0, "Least bytes a second of a request's body, in each ten seconds in which it is waited for; 0: any."),
    Setting("server", "write_timeout", _seconds(1, 3600), 30.0, "How long an answer may be stuck because its reader takes nothing or too little."),
    Setting("server", "keepalive_timeout", _seconds(1, 3600), 75.0, "How long an idle connection is kept."),
    Setting("server", "max_line_bytes", _count(256, 65_536), 8_190, "Longest request line."),
    Setting("server", "max_field_bytes", _count(256, 65_536), 8_190, "Longest single header field."),
    Setting("server", "max_headers", _count(8, 1_000), 128, "Most header fields of a request."),
    Setting("server", "max_body_bytes", _count(0, 2**50), 2**30, "Largest body of a request; 0: any."),
    Setting("server", "max_connections", _count(0, 10_000_000), 50_000, "Most connections to one process; 0: any."),
    Setting("server", "max_connections_per_address", _count(0, 10_000_000), 1_000, "Most of them from one address (of IPv6: one /64); trusted proxies may have any number. 0: any."),
    Setting("server", "public_url", values.optional_url, "", "Where visitors find this gate, http(s)://HOST[:PORT]; for links and checks. Empty: as `listen` says."),
    Setting("server", "admin_hosts", values.hosts, (), "Names under which the admin listener may be asked, beside addresses and localhost."),
    Setting("server", "open_metrics", values.boolean, False, "Serve /metrics on the admin listener without a token."),
    Setting("server", "finish_seconds", _seconds(0, 3600), 10.0, "After that, how long answers under way may still take."),
    Setting("server", "drain_seconds", _seconds(0, 300), 2.0, "After SIGTERM: for half of it not ready, then answers end their connections."),
    Setting("origin", "url", values.optional_url, "", "The site that is protected, http(s)://HOST[:PORT]."),
    Setting("origin", "pool", _count(1, 20_000), 512, "Most connections to the origin at a time; three in four are for plain GETs."),
    Setting("origin", "idle_timeout", _seconds(0, 3600), 15.0, "How long an unused connection to the origin is kept."),
    Setting("origin", "connect_timeout", _seconds(0.1, 120), 5.0, "Longest time to connect to the origin."),
    Setting("origin", "first_byte_timeout", _seconds(0.1, 3600), 60.0, "Longest time to the first byte of an answer."),
    Setting("origin", "read_timeout", _seconds(0.1, 86_400), 120.0, "Longest silence within an answer."),
    Setting("origin", "verify", values.verify, True, "Check the origin's certificate: true, false or a CA file (PEM)."),
    Setting("store", "url", values.store_url, "", "A store: redis://, rediss:// or unix://, redis+sentinel://HOST,HOST/SERVICE, redis+cluster://HOST,HOST (rediss+… for TLS); empty: the embedded one."),
    Setting("store", "ca", values.file, "", "Authority (PEM) to trust with rediss; empty: the system's."),
    Setting("store", "cert", values.file, "", "Client certificate (PEM) to show with rediss."),
    Setting("store", "key", values.file, "", "Its private key (PEM)."),
    Setting("store", "state_dir", str, "./.gate", "Where keys, the admin token and the embedded store live."),
    Setting("store", "record_life", _seconds(3600, 10 * 366 * 86_400), 400 * 86_400.0, "How long a room's record of who did what is kept."),
    Setting("tokens", "algorithm", _choice("HS256", "EdDSA"), "HS256", "What signs passes: `HS256` (a shared secret) or `EdDSA` (origins may verify with a public key)."),
    Setting("tokens", "keys_file", str, "", "The key ring; empty: keys.json in the state directory."),
    Setting("tokens", "remembered", _count(1_000, 10_000_000), 100_000, "Verified tokens a gate remembers."),
    Setting("canary", "every", _seconds(0, 86_400), 0.0, "How often a made-up visitor joins, waits and fetches a page; 0: never."),
    Setting("canary", "room", str, "", "The room it visits; empty: the first."),
    Setting("canary", "path", values.path, "/", "The page it fetches once it is let in."),
    Setting("canary", "marker", str, "", "Text the page must hold; empty: any answer that is no error."),
    Setting("canary", "within", _seconds(0.01, 600), 5.0, "Longest time from its turn to the page."),
    Setting("room", "name", values.room_name, "default", "The room's name: a to z, digits and -."),
    Setting("room", "hosts", values.hosts, (), "Hosts it protects (shop.example, *.shop.example); empty: all."),
    Setting("room", "paths", values.paths, (), "Paths it protects (/book and beneath, /book*); empty: all."),
    Setting("room", "release_rate", values.rate, 10.0, "Visitors let in: 500/s, 30/min, 0.5."),
    Setting("room", "burst", values.optional(values.number(0, 1e9)), None, "Unused release banked, in visitors; default one second of rate."),
    Setting("room", "mode", _choice("auto", "hold", "off", "closed"), "auto", "`auto` releases at the rate, `hold` releases nobody and keeps places, `closed` takes no newcomers, `off` lets all pass."),
    Setting("room", "max_issued", values.optional(_count(1, 2**40)), None, "Most places dealt in one generation; default unlimited."),
    Setting("room", "ticket_life", _seconds(60, 30 * 86_400), 86_400.0, "How long a ticket lives; made anew past half."),
    Setting("room", "claim_within", _seconds(10, 86_400), 1_800.0, "How long a turn is kept once it has come."),
    Setting("room", "pass_life", _seconds(5, 86_400), 600.0, "How long a pass lives unless it is used."),
    Setting("room", "pass_cap", _seconds(5, 7 * 86_400), 3_600.0, "How long a visit may last, counted from the end of `claim_within` after the turn came."),
    Setting("room", "pass_grace", _seconds(0, 86_400), 600.0, "How long an expired pass may still be made anew."),
    Setting("room", "lease", _seconds(1, 300), 10.0, "How long the pointer may be worked out while the store is silent."),
    Setting("room", "store_outage", _choice("hold", "open"), "hold", "Newcomers while the store is away: `hold` keeps them on the page, `open` lets them in."),
    Setting("room", "outage_open_for", _seconds(1, 86_400), 300.0, 'With `store_outage = "open"`: for how long of an outage newcomers are let in.'),
    Setting("room", "poll_min", _seconds(0.5, 300), 2.0, "Shortest time between a page's polls."),
    Setting("room", "poll_max", _seconds(1, 3600), 30.0, "Longest time between a page's polls."),
    Setting("room", "poll_fraction", values.number(0.001, 1), 0.1, "Fraction of the expected wait between polls."),
    Setting("room", "waiting_status", _choice(200, 202, 429, 503), 200, "Status of the waiting page: 200, 202, 429 or 503."),
    Setting("room", "bypass", values.bypass, (), "Open rules: tables of paths, methods, networks."),
    Setting("room", "preflight", _choice("forward", "refuse"), "forward", "What is done with a CORS preflight: `forward` or `refuse`."),
    Setting("room", "cors_origins", values.texts, (), "Origins whose scripts may read a refusal."),
    Setting("room", "cookie_domain", values.domain, "", "Domain of the cookies, for rooms over several hosts."),
    Setting("room", "same_site", _choice("lax", "strict", "none"), "lax", "SameSite of the cookies: `lax`, `strict` or `none` (https only)."),
    Setting("room", "websocket", _choice("cap", "pass", "keep"), "cap", "When a WebSocket ends: with the visit's `cap`, the `pass`, or never (`keep`)."),
    Setting("room", "cache", _choice("private", "origin"), "private", "Whose word on caching answers leave with: `private` keeps them out of shared caches, `origin` leaves them as they came."),
    Setting("room", "bind", _choice("none", "network"), "none", "What a pass is good with: `none`, whoever shows it; `network`, only the /24 or /64 it was made for."),
    Setting("room", "joins_per_network", _count(0, 10_000_000), 5_000, "Numbers that a public network (/24 or /64) may take in one process; a hundredth a second comes back. 0: any."),
    Setting("room", "proof_of_work", _count(0, 2_000_000), 0, "Hashes that a newcomer's browser must try at most before it gets a number (half of them on average); 50000 is about a second of a phone. 0: none."),
    Setting("room", "verifier", _choice("", "turnstile", "hcaptcha"), "", "Who is asked whether a visitor is a person; empty: nobody."),
    Setting("room", "verifier_at", values.texts, ("join",), "At which steps: `join`, `claim` or both."),
    Setting("room", "verifier_site_key", str, "", "The site key that its widget is shown with."),
    Setting("room", "verifier_secret_file", values.file, "", "File that holds its secret key, readable by the gate's user alone."),
    Setting("room", "verifier_url", values.optional_endpoint, "", "Another address that speaks its `siteverify`; empty: its own."),
    Setting("room", "idle_per_network", _count(0, 1_000_000), 50, "Idle admissions for clients without cookies, a network; refilled 5/s."),
    Setting("room", "title", values.localized, {}, "The page's title; one text, or a table by language."),
    Setting("room", "message", values.localized, {}, "The site's message on the page; one text, or a table by language."),
    Setting("room", "logo", values.image, "", "Image file (svg, png, webp, jpg) shown on the page."),
    Setting("room", "accent", values.colour, "", "Colour of the page's accents, #RRGGBB."),
    Setting("room", "page", values.page, "", "HTML file that replaces the waiting page."),
)  # fmt: skip
