-- Keys and values are BLOBs: compared, cut and ordered by bytes.

CREATE TABLE dict_key (
    dict    TEXT NOT NULL,
    user    TEXT NOT NULL,
    key     BLOB NOT NULL,
    value   BLOB NOT NULL,
    expires INTEGER,
    PRIMARY KEY (dict, user, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX dict_key_by_user ON dict_key (user);
CREATE INDEX dict_key_by_expiry ON dict_key (expires) WHERE expires IS NOT NULL;

-- How many keys a dict name has, so that nobody counts them at each write.
CREATE TABLE dict_size (
    dict TEXT NOT NULL PRIMARY KEY,
    keys INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER dict_key_added AFTER INSERT ON dict_key BEGIN
    INSERT INTO dict_size (dict, keys) VALUES (new.dict, 1)
        ON CONFLICT (dict) DO UPDATE SET keys = keys + 1;
END;

CREATE TRIGGER dict_key_removed AFTER DELETE ON dict_key BEGIN
    UPDATE dict_size SET keys = keys - 1 WHERE dict = old.dict;
END;
