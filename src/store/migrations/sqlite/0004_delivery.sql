ALTER TABLE change_log ADD COLUMN raises INTEGER NOT NULL DEFAULT 0;
-- 1 from the commit of a row that raises until all of it has arrived. What was there before there was anybody to
-- deliver to has none to wait for.
ALTER TABLE change_log ADD COLUMN open INTEGER NOT NULL DEFAULT 0;
-- JSON; NULL before the first attempt.
ALTER TABLE change_log ADD COLUMN steps TEXT;
-- A bare domain is its own, `token:NAME` and `*` are nobody's.
ALTER TABLE change_log ADD COLUMN domain TEXT GENERATED ALWAYS AS (substr(subject, instr(subject, '@') + 1)) VIRTUAL;

UPDATE change_log SET raises = 1 WHERE kind IN (
    'account-added', 'password-set', 'logged-out', 'disabled', 'enabled',
    'main-password-for-mail-on', 'main-password-for-mail-off', 'account-removed'
);

CREATE INDEX change_log_open ON change_log (number) WHERE open = 1;
-- All that is asked of a page of subjects, in their order, without a look at the table.
CREATE INDEX change_log_raised ON change_log (subject, credential, number, at) WHERE raises = 1;
CREATE INDEX change_log_by_subject ON change_log (subject, number);
CREATE INDEX change_log_by_domain ON change_log (domain, number);

-- The number of the newest change_log row about it, of any kind.
ALTER TABLE account ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE domain ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
UPDATE account SET changed = coalesce((SELECT max(number) FROM change_log WHERE subject = username), generation);
UPDATE domain SET changed = coalesce((SELECT max(number) FROM change_log WHERE subject = name), 0);

-- 24 keyed bits of the password, and of the one that it replaced.
ALTER TABLE credential ADD COLUMN fingerprint BLOB CHECK (length(fingerprint) = 3);
ALTER TABLE credential ADD COLUMN previous_fingerprint BLOB CHECK (length(previous_fingerprint) = 3);
ALTER TABLE credential ADD COLUMN replaced INTEGER;

CREATE TABLE token (
    name    TEXT NOT NULL PRIMARY KEY,
    role    TEXT NOT NULL,
    -- JSON; an empty list is all domains.
    domains TEXT NOT NULL,
    -- SHA-256 of what its bearer shows.
    digest  BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
