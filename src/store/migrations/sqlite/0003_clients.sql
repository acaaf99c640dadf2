-- AUTOINCREMENT: whoever asks to forget a client never meets another one under its number.
CREATE TABLE client (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    username   TEXT NOT NULL REFERENCES account (username) ON DELETE CASCADE,
    kind       TEXT NOT NULL,
    credential INTEGER,
    origin     TEXT NOT NULL,
    user_agent TEXT,
    session    TEXT,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    logins     INTEGER NOT NULL
) STRICT;

-- What makes two logins those of one client. NULLs would all be different.
CREATE UNIQUE INDEX client_identity
    ON client (username, kind, coalesce(credential, -1), origin, coalesce(user_agent, ''));
CREATE INDEX client_by_last_seen ON client (username, last_seen);
