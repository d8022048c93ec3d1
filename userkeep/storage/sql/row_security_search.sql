-- Full-text search on PostgreSQL where row-level security is on, and where the operator of a tsvector
-- is not marked as leakproof: the index of terms cannot be used; see row_security.sql.

-- fragment: wanted_terms
wanted AS MATERIALIZED (
    SELECT number - 1 AS ordinal, CAST(
        replace('''' || term || '''', '*''', ''':*')
        /*? search_scope: || ' & ''#' || CAST(CAST(:search_scope AS bigint) AS text) || '''' */
        AS tsquery
    ) AS words
    FROM jsonb_array_elements_text(CAST(:terms AS jsonb)) WITH ORDINALITY AS given (term, number)
)

-- fragment: searched
-- All messages of the session, of the user's sessions or of the project, each by its key. A search
-- scope is the number of a user, or the negative one of a session without a user.
/*? search_scope: (
    SELECT session_id FROM sessions
    WHERE project_id = :project_id AND user_id = (
        SELECT user_id FROM users
        WHERE project_id = :project_id AND state = 'active' AND number = :search_scope
        LIMIT 1
    )
    UNION ALL
    SELECT session_id FROM sessions
    WHERE project_id = :project_id AND state = 'active' AND number = -:search_scope
) AS owned CROSS JOIN LATERAL */ (
    SELECT session_id, seq, word_count, words FROM messages
    WHERE project_id = :project_id AND seq > 0
        /*? search_scope: AND session_id = owned.session_id */
        /*? session_id: AND session_id = :session_id */
    OFFSET 0
) AS found

-- fragment: matches
FROM {searched} JOIN wanted ON found.words @@ wanted.words
LIMIT :limit

-- name: postings
WITH {wanted_terms}
SELECT wanted.ordinal, found.session_id, found.seq, found.word_count
{matches};

-- name: count_postings
WITH {wanted_terms}
SELECT count(*) FROM (SELECT 1 {matches}) AS matches;

-- name: speaker_counts
WITH {wanted_terms}
SELECT ordinal, count(*)
FROM (
    SELECT wanted.ordinal FROM {searched} JOIN wanted ON found.words @@ wanted.words LIMIT :limit
) AS counted
GROUP BY ordinal;
