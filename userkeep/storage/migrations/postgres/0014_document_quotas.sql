-- The most documents that a user of a project can have. document_count is how many documents a user had
-- when their bytes were counted: those of documents count with those of messages.
--
-- locks: ACCESS EXCLUSIVE on projects and user_usage for some milliseconds.
ALTER TABLE projects ADD COLUMN max_documents_per_user bigint;
ALTER TABLE user_usage ADD COLUMN document_count bigint NOT NULL DEFAULT 0;
ALTER TABLE user_usage ALTER COLUMN document_count DROP DEFAULT;
