-- Queries and fragments that differ on PostgreSQL where row-level security is on.
--
-- A condition is evaluated after the policy of its table, and so finds no rows by an index, unless all
-- its functions of columns are leakproof. Those of full text and of JSON are not.

-- fragment: row_security_problem
-- None.

-- fragment: positions
-- OFFSET 0 keeps the functions of JSON in the subquery, so that the join compares columns.
(
    SELECT number - 1 AS ordinal, value ->> 0 AS session_id, CAST(value ->> 1 AS bigint) AS seq
    FROM jsonb_array_elements(CAST(:positions AS jsonb)) WITH ORDINALITY AS given (value, number)
    OFFSET 0
)

-- fragment: wanted_numbers
(
    SELECT number - 1 AS ordinal, CAST(value AS bigint) AS wanted
    FROM jsonb_array_elements_text(CAST(:numbers AS jsonb)) WITH ORDINALITY AS given (value, number)
    OFFSET 0
)
