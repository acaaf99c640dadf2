-- Times are microseconds since 1970. Numbers without a sign (quotas) stand as their 64 bits.

CREATE TABLE domain (
    name          TEXT NOT NULL PRIMARY KEY,
    profile       TEXT NOT NULL,
    default_quota INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
    username               TEXT NOT NULL PRIMARY KEY,
    domain                 TEXT NOT NULL REFERENCES domain (name),
    name                   TEXT,
    -- What a search looks through: lower case as Unicode has it, which lower() has not.
    name_folded            TEXT,
    quota                  INTEGER,
    enabled                INTEGER NOT NULL,
    account_type           TEXT NOT NULL,
    main_password_for_mail INTEGER NOT NULL,
    fields                 TEXT NOT NULL,
    -- The number of the change_log row that last took away or gave a right.
    generation             INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX account_by_domain ON account (domain, username);

CREATE TABLE credential (
    username   TEXT NOT NULL REFERENCES account (username) ON DELETE CASCADE,
    -- 0 is the main password; application passwords count from 1.
    number     INTEGER NOT NULL,
    hash       TEXT NOT NULL,
    -- The main password has the account's.
    generation INTEGER,
    PRIMARY KEY (username, number),
    CHECK ((number = 0) = (generation IS NULL))
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: a number is never used twice, and a removed account stays in the log.
CREATE TABLE change_log (
    number     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    subject    TEXT NOT NULL,
    credential INTEGER,
    kind       TEXT NOT NULL,
    who        TEXT NOT NULL,
    door       TEXT NOT NULL,
    origin     TEXT,
    at         INTEGER NOT NULL
) STRICT;

CREATE TABLE login (
    number     INTEGER NOT NULL PRIMARY KEY,
    username   TEXT NOT NULL REFERENCES account (username) ON DELETE CASCADE,
    at         INTEGER NOT NULL,
    outcome    TEXT NOT NULL,
    credential INTEGER,
    service    TEXT NOT NULL,
    origin     TEXT NOT NULL,
    session    TEXT
) STRICT;

CREATE INDEX login_by_username ON login (username, number);

-- One row, written to find out whether a write succeeds.
CREATE TABLE probe (
    number  INTEGER NOT NULL PRIMARY KEY CHECK (number = 1),
    written INTEGER NOT NULL
) STRICT;

INSERT INTO probe (number, written) VALUES (1, 0);
