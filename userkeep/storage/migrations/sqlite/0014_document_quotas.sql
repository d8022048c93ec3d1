-- The most documents that a user of a project can have. document_count is how many documents a user had
-- when their bytes were counted: those of documents count with those of messages.
ALTER TABLE projects ADD COLUMN max_documents_per_user INTEGER;
ALTER TABLE user_usage ADD COLUMN document_count INTEGER NOT NULL DEFAULT 0;
