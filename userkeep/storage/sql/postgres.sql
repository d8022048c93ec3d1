-- Queries and fragments that differ on PostgreSQL.

-- fragment: for_update
FOR NO KEY UPDATE

-- fragment: for_share
FOR SHARE

-- fragment: words_column
, words

-- fragment: words_value
, array_to_tsvector(array_append(string_to_array(:words, ' '), '#' || CAST(:search_scope AS text)))

-- fragment: words_set
, words = array_to_tsvector(
    array_append(string_to_array(:words, ' '), '#' || CAST(:search_scope AS text))
)

-- name: lock_writes
-- See services.projects. It is no lock of the project's row, because those are granted before an
-- exclusive one that waits: with many writers, a deletion would wait forever.
SELECT pg_advisory_xact_lock_shared({project_lock});

-- name: wait_for_writes
SELECT pg_advisory_xact_lock({project_lock});

-- name: lock_uuid
-- Concurrent imports of the same uuid wait for each other: no index can be unique over all projects.
SELECT pg_advisory_xact_lock(1886547819, hashtext(CAST(:uuid AS text)));

-- fragment: project_lock
-- The first number makes it another lock than those of other programs.
1886547818, CAST(:project_id AS integer)

-- name: move_words
UPDATE messages
SET words = ts_delete(words, '#' || CAST(:from_scope AS text))
    || array_to_tsvector(ARRAY['#' || CAST(:to_scope AS text)])
WHERE project_id = :project_id AND session_id = :session_id;

-- name: database_bytes
SELECT pg_database_size(current_database());

-- name: words_of_messages
SELECT seq, array_to_string(tsvector_to_array(words), ' ')
FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND seq >= :from_seq
ORDER BY seq
LIMIT :limit;

-- fragment: found
-- The terms, each with the messages that have it, or a word that begins like it if it ends with a
-- star. ORDER BY keeps the subquery out of a join, for which PostgreSQL, without statistics, would
-- read the whole project; the value is the same for all rows, so nothing is sorted. A cluster rejects
-- LIMIT, OFFSET and WITH here. Only the index of terms can be used, as no other one has project_id + 0
-- or this collation: it would be read once for each term, for a whole session.
jsonb_array_elements_text(CAST(:terms AS jsonb)) WITH ORDINALITY AS wanted (term, number)
CROSS JOIN LATERAL (
    SELECT session_id, seq, word_count
    FROM messages
    WHERE words @@ CAST(
            replace('''' || wanted.term || '''', '*''', ''':*')
            /*? search_scope: || ' & ''#' || CAST(:search_scope AS text) || '''' */ AS tsquery
        )
        AND project_id + 0 = :project_id AND seq > 0
        /*? session_id: AND session_id = CAST(:session_id AS text) COLLATE "POSIX" */
    ORDER BY project_id + 0
) AS found

-- name: postings
SELECT wanted.number - 1, found.session_id, found.seq, found.word_count
FROM {found}
LIMIT :limit;

-- name: count_postings
SELECT count(*) FROM (SELECT 1 FROM {found} LIMIT :limit) AS postings;

-- name: speaker_counts
-- For each term that speakers have in their names, by its ordinal, how many messages are theirs: all
-- of them, unless there are :limit in all. A cluster rejects a limit of each term.
SELECT number - 1, count(*)
FROM (SELECT wanted.number FROM {found} LIMIT :limit) AS counted
GROUP BY number;

-- fragment: joined_in_order
-- PostgreSQL chooses the order well: it expects a list in JSON to be short.
JOIN

-- name: packed_vectors
-- The vectors of parts of sessions (JSON: a list of session_id and the first seq). Grouped inside: that
-- keeps the subquery out of a join, for which PostgreSQL, without statistics, would read the whole
-- project, and takes a third of the time of a sort of all vectors.
SELECT position.ordinal, found.packed
FROM {positions} AS position
CROSS JOIN LATERAL (
    SELECT string_agg(
        convert_to({packed_header}, 'UTF8') || embeddings.vector, CAST('' AS bytea)
    ) AS packed
    FROM embeddings
    WHERE {vectors_of_part}
    GROUP BY embeddings.session_id
) AS found;

-- fragment: positions
(
    SELECT number - 1 AS ordinal, value ->> 0 AS session_id, CAST(value ->> 1 AS bigint) AS seq
    FROM jsonb_array_elements(CAST(:positions AS jsonb)) WITH ORDINALITY AS given (value, number)
)

-- fragment: joined_seqs
string_agg(CAST(seq AS text), ',')

-- fragment: joined_days
string_agg(CAST(day AS text) || ' ' || CAST(total AS text), ',')

-- fragment: joined_vectors
string_agg(vector, CAST('' AS bytea))

-- fragment: in_groups
-- One value for a whole batch takes much longer than some: its memory is moved again and again.
GROUP BY seq / 500

-- name: newest_messages_of_user
-- Session by session, which the inner LIMIT enforces. Without statistics of the keys, PostgreSQL
-- expects a session to have a large share of all messages, and would read all of them.
SELECT newest.session_id, newest.seq
FROM sessions
CROSS JOIN LATERAL (
    SELECT messages.session_id, messages.seq, messages.created_at
    FROM messages
    WHERE messages.project_id = :project_id AND messages.session_id = sessions.session_id
        AND messages.seq > 0 {hit_conditions}
    ORDER BY created_at DESC, seq DESC
    LIMIT :limit
) AS newest
WHERE sessions.project_id = :project_id AND sessions.user_id = :user_id
    AND sessions.state = 'active'
ORDER BY newest.created_at DESC, newest.session_id, newest.seq DESC
LIMIT :limit;

-- fragment: added_user_begins
-- A cluster rejects an INSERT with a subquery.
WITH added AS (

-- fragment: added_user_ends
)
SELECT added.*, value FROM added LEFT JOIN instance ON name = 'user_words'

-- name: limit_lock_wait
SELECT set_config('lock_timeout', :limit, true);

-- name: wait_for_user_writes
-- Waits for the end of each transaction that has created or changed a user, and lets no other do so
-- until this one ends. Reads do not wait.
LOCK TABLE users IN SHARE MODE;

-- fragment: words_of_user
(
    SELECT value AS word FROM jsonb_array_elements_text(CAST(:user_words AS jsonb)) AS each (value)
) AS given

-- fragment: wanted_numbers
(
    SELECT number - 1 AS ordinal, CAST(value AS bigint) AS wanted
    FROM jsonb_array_elements_text(CAST(:numbers AS jsonb)) WITH ORDINALITY AS given (value, number)
)

-- fragment: is_among_numbers
-- An array, because IN becomes a join, for which all words of the range may be read.
= ANY (ARRAY(
    SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:numbers AS jsonb)) AS given (value)
))

-- fragment: is_among_ids
= ANY (ARRAY(SELECT value FROM jsonb_array_elements_text(CAST(:ids AS jsonb)) AS given (value)))

-- fragment: is_not_among_hidden_users
<> ALL (ARRAY(
    SELECT value FROM jsonb_array_elements_text(CAST(:hidden_users AS jsonb)) AS given (value)
))

-- fragment: is_among_uuids
= ANY (ARRAY(
    SELECT CAST(value AS uuid) FROM jsonb_array_elements_text(CAST(:uuids AS jsonb)) AS given (value)
))

-- fragment: has_title_words
title_words IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM jsonb_array_elements_text(CAST(:title_words AS jsonb)) AS wanted (value)
    WHERE strpos(title_words, wanted.value) = 0
)

-- fragment: active_at_of_row
active_at

-- fragment: last_message
-- JSON, of api.sessions.LastMessage. The content is cut.
(
    SELECT CAST(json_build_array(
        seq, id, role, name, left(content, 200),
        CAST(extract(epoch FROM created_at) * 1000000 AS bigint)
    ) AS text)
    FROM messages
    WHERE messages.project_id = sessions.project_id
        AND messages.session_id = sessions.session_id AND messages.seq > 0
    ORDER BY seq DESC
    LIMIT 1
)

-- fragment: in_order_of_positions
ORDER BY position.ordinal

-- fragment: roles
(SELECT jsonb_array_elements_text(CAST(:roles AS jsonb)))

-- name: get_clock
-- The time from which the clock continues: what a server saved last.
SELECT coalesce(max(CAST(value AS bigint)), 0) FROM instance WHERE name = 'time';

-- name: readiness_problems
-- What prevents requests from being performed, for operators: what it is about, and a sentence.
SELECT 'rights', 'The database is read-only.'
WHERE pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on'
UNION ALL
SELECT CASE WHEN number IS NULL THEN 'schema' ELSE 'rights' END,
    CASE
        WHEN number IS NULL THEN 'The table ' || name || ' is missing.'
        ELSE 'The database role may not read and change the table ' || name || '.'
    END
FROM (
    SELECT name, to_regclass(quote_ident(current_schema()) || '.' || name) AS number
    FROM unnest(ARRAY[{table_names}]) AS name
) AS needed
WHERE number IS NULL
    OR NOT (
        has_table_privilege(number, 'SELECT') AND has_table_privilege(number, 'INSERT')
        AND has_table_privilege(number, 'UPDATE') AND has_table_privilege(number, 'DELETE')
    )
{row_security_problem};

-- fragment: row_security_problem
-- This server names no project to PostgreSQL, so it sees nothing once another one has turned it on.
UNION ALL
SELECT 'rights', 'Row-level security is on, but this server was started before that, or without it. Restart it '
    || 'with USERKEEP_POSTGRES_ROW_SECURITY=true.'
WHERE row_security_active(to_regclass(quote_ident(current_schema()) || '.users'))

-- name: list_messages
-- With :max_bytes, those until their texts have that many bytes, and one more; else PostgreSQL sends
-- all of them, and libpq keeps them in memory. The lengths are known without reading the texts. The
-- window has no order of its own, so that it keeps that of the subquery in both directions.
/*? max_bytes: SELECT {message_columns} FROM (
    SELECT page.*, sum(octet_length(content) + coalesce(octet_length(data), 0))
        OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING) AS bytes_before
    FROM ( */
SELECT {message_columns}
FROM messages
WHERE project_id = :project_id AND session_id = :session_id AND seq > 0
    /*? after: AND seq > :after */
    /*? before: AND seq < :before */
    /*? created_after_at: AND created_at > :created_after_at */
    /*? created_before_at: AND created_at < :created_before_at */
    /*? role: AND role = :role */
    /*? filter: AND {filter} */
    AND EXISTS (
        SELECT 1 FROM sessions
        WHERE project_id = :project_id AND session_id = :session_id AND state <> 'deleting'
            {scope_of_user}
    )
ORDER BY seq /*? descending: DESC */
/*? limit: LIMIT :limit */ /*? offset: OFFSET :offset */
/*? max_bytes: ) AS page) AS sized WHERE coalesce(bytes_before, 0) <= CAST(:max_bytes AS bigint) */;

-- fragment: day_of_activity
-- Days are counted from 1970-01-01 (UTC).
CAST(active_at AT TIME ZONE 'UTC' AS date) - DATE '1970-01-01'

-- fragment: day_of_creation
CAST(created_at AT TIME ZONE 'UTC' AS date) - DATE '1970-01-01'

-- name: has_hnsw
-- Whether there are such indexes, complete or not.
SELECT count(*) > 0 FROM pg_class
WHERE relnamespace = CAST(current_schema() AS regnamespace) AND relkind = 'i'
    AND starts_with(relname, CAST(:prefix AS text));

-- name: schema_of_hnsw
-- The schema of pgvector, if it has a complete index of this name; see storage.postgres.hnsw. What
-- to_regclass finds is there now: the rows are those of the snapshot, and a purge may have dropped the
-- index since.
SELECT CAST(extension.nspname AS text)
FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid
JOIN pg_extension ON extname = 'vector'
JOIN pg_namespace AS extension ON extension.oid = extnamespace
WHERE relnamespace = CAST(current_schema() AS regnamespace) AND relname = CAST(:index AS text)
    AND indisvalid AND to_regclass(CAST(:index AS text)) IS NOT NULL;

-- name: begin_hnsw
-- Without a sort, nothing but the index has the order. Both hold until the end of the transaction, in
-- which nothing else is sorted.
SELECT set_config('hnsw.ef_search', :candidates, true) || set_config('enable_sort', 'off', true);
