CREATE TABLE deleted_sessions (
    erasure_number bigint NOT NULL,
    project_id smallint NOT NULL,
    uuid uuid NOT NULL,
    CONSTRAINT deleted_sessions_pkey PRIMARY KEY (project_id, uuid)
);
CREATE INDEX deleted_sessions_by_uuid ON deleted_sessions USING btree (uuid);
CREATE INDEX deleted_sessions_of_erasure ON deleted_sessions USING btree (erasure_number, uuid);

CREATE TABLE embedding_models (
    created_at timestamp with time zone NOT NULL,
    dimensions integer,
    fingerprint text NOT NULL,
    lease_expires_at timestamp with time zone,
    model_id integer NOT NULL,
    name text NOT NULL,
    source text,
    state text COLLATE "C" NOT NULL,
    CONSTRAINT embedding_models_pkey PRIMARY KEY (model_id),
    CONSTRAINT embedding_models_state_check CHECK ((state = ANY (ARRAY['current'::text, 'building'::text, 'former'::text])))
);

CREATE TABLE embeddings (
    model_id integer NOT NULL,
    project_id smallint NOT NULL,
    scale real NOT NULL,
    seq bigint NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    vector bytea NOT NULL,
    CONSTRAINT embeddings_pkey PRIMARY KEY (project_id, session_id, seq, model_id)
);

CREATE TABLE idempotency (
    created_at timestamp with time zone NOT NULL,
    first_seq bigint,
    key text COLLATE "C" NOT NULL,
    message_count bigint,
    project_id smallint NOT NULL,
    request_hash text NOT NULL,
    session_id text COLLATE "C",
    user_id text COLLATE "C",
    uuid uuid,
    CONSTRAINT idempotency_pkey PRIMARY KEY (project_id, key)
);
CREATE INDEX idempotency_created ON idempotency USING btree (project_id, created_at);
CREATE INDEX idempotency_of_session ON idempotency USING btree (project_id, session_id) WHERE (session_id IS NOT NULL);
CREATE INDEX idempotency_of_user ON idempotency USING btree (project_id, user_id) WHERE (user_id IS NOT NULL);

CREATE TABLE instance (
    name text COLLATE "C" NOT NULL,
    value text NOT NULL,
    CONSTRAINT instance_pkey PRIMARY KEY (name)
);

CREATE TABLE pending_purges (
    edited_at timestamp with time zone NOT NULL,
    project_id smallint NOT NULL,
    purge_uuid uuid,
    uuid uuid NOT NULL,
    CONSTRAINT pending_purges_pkey PRIMARY KEY (project_id, uuid)
);

CREATE TABLE projects (
    created_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    do_not_embed smallint NOT NULL,
    embedding_sweep bigint,
    lease_expires_at timestamp with time zone,
    max_bytes_per_user bigint,
    max_messages_per_user bigint,
    message_count bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    project_id smallint NOT NULL,
    purge_requested_at timestamp with time zone,
    purge_uuid uuid,
    purged_at timestamp with time zone,
    session_count bigint NOT NULL,
    skipped_steps text,
    started_at timestamp with time zone,
    state text COLLATE "C" NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    user_count bigint NOT NULL,
    uuid uuid NOT NULL,
    CONSTRAINT projects_pkey PRIMARY KEY (project_id),
    CONSTRAINT projects_name_key UNIQUE (name),
    CONSTRAINT projects_state_check CHECK ((state = ANY (ARRAY['active'::text, 'deleting'::text, 'deleted'::text])))
);
CREATE UNIQUE INDEX projects_by_uuid ON projects USING btree (uuid);

CREATE TABLE schema_migrations (
    applied_at timestamp with time zone NOT NULL,
    name text NOT NULL,
    number integer NOT NULL,
    CONSTRAINT schema_migrations_pkey PRIMARY KEY (number)
);

CREATE TABLE tombstones (
    expires_at timestamp with time zone NOT NULL,
    id_hash text COLLATE "C" NOT NULL,
    project_id smallint NOT NULL,
    subject text COLLATE "C" NOT NULL,
    CONSTRAINT tombstones_pkey PRIMARY KEY (project_id, subject, id_hash),
    CONSTRAINT tombstones_subject_check CHECK ((subject = ANY (ARRAY['user'::text, 'session'::text])))
);
CREATE INDEX tombstones_expiry ON tombstones USING btree (project_id, expires_at);

CREATE TABLE user_usage (
    byte_count bigint NOT NULL,
    message_count bigint NOT NULL,
    project_id smallint NOT NULL,
    quota_set_at timestamp with time zone NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    CONSTRAINT user_usage_pkey PRIMARY KEY (project_id, user_id)
);

CREATE TABLE user_words (
    beginning text COLLATE "C" NOT NULL,
    project_id smallint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    user_number bigint NOT NULL,
    word text COLLATE "C" NOT NULL,
    CONSTRAINT user_words_pkey PRIMARY KEY (project_id, user_number, word, user_id)
);
CREATE INDEX user_words_by_beginning ON user_words USING btree (project_id, beginning, user_number, word);
CREATE INDEX user_words_by_word ON user_words USING btree (project_id, word, user_number);

CREATE TABLE api_keys (
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    former_expires_at timestamp with time zone,
    former_hash text COLLATE "C",
    hash text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    last_used_at timestamp with time zone,
    name text,
    number bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY,
    project_id smallint NOT NULL,
    revoked_at timestamp with time zone,
    scope text COLLATE "C" NOT NULL,
    user_id text COLLATE "C",
    user_uuid uuid,
    CONSTRAINT api_keys_pkey PRIMARY KEY (project_id, id),
    CONSTRAINT api_keys_check CHECK (((user_id IS NULL) = (user_uuid IS NULL))),
    CONSTRAINT api_keys_project_id_fkey FOREIGN KEY (project_id) REFERENCES projects(project_id),
    CONSTRAINT api_keys_scope_check CHECK ((scope = ANY (ARRAY['read'::text, 'write'::text, 'admin'::text])))
);
CREATE UNIQUE INDEX api_keys_by_id ON api_keys USING btree (id);
CREATE INDEX api_keys_listed ON api_keys USING btree (project_id, number);
CREATE INDEX api_keys_of_user ON api_keys USING btree (project_id, user_id) WHERE (user_id IS NOT NULL);

CREATE TABLE erasures (
    deleted_at timestamp with time zone,
    hidden_at timestamp with time zone,
    lease_expires_at timestamp with time zone,
    message_count bigint NOT NULL,
    number bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY,
    project_id smallint NOT NULL,
    purge_requested_at timestamp with time zone,
    purge_uuid uuid,
    purged_at timestamp with time zone,
    session_count bigint NOT NULL,
    skipped_steps text,
    started_at timestamp with time zone NOT NULL,
    state text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    subject_hash text COLLATE "C" NOT NULL,
    subject_id text COLLATE "C",
    subject_uuid uuid NOT NULL,
    uuid uuid NOT NULL,
    CONSTRAINT erasures_pkey PRIMARY KEY (project_id, uuid),
    CONSTRAINT erasures_check CHECK (((state = 'deleted'::text) = (subject_id IS NULL))),
    CONSTRAINT erasures_check1 CHECK (((state = 'deleted'::text) = (deleted_at IS NOT NULL))),
    CONSTRAINT erasures_project_id_fkey FOREIGN KEY (project_id) REFERENCES projects(project_id),
    CONSTRAINT erasures_state_check CHECK ((state = ANY (ARRAY['deleting'::text, 'deleted'::text]))),
    CONSTRAINT erasures_subject_check CHECK ((subject = ANY (ARRAY['user'::text, 'session'::text, 'message'::text])))
);
CREATE INDEX erasures_by_number ON erasures USING btree (number);
CREATE INDEX erasures_by_subject ON erasures USING btree (subject_uuid);
CREATE INDEX erasures_listed ON erasures USING btree (project_id, number);
CREATE INDEX erasures_running ON erasures USING btree (project_id) WHERE (subject_id IS NOT NULL);
CREATE INDEX erasures_to_purge ON erasures USING btree (project_id, deleted_at) WHERE (purged_at IS NULL);

CREATE TABLE sessions (
    active_at timestamp with time zone NOT NULL,
    assigned_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    do_not_embed smallint NOT NULL,
    embedded_seq bigint,
    ended_at timestamp with time zone,
    erasure_uuid uuid,
    last_seq bigint NOT NULL,
    message_count bigint NOT NULL,
    metadata jsonb,
    number bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY,
    project_id smallint NOT NULL,
    revision bigint NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    title text,
    title_words text COLLATE "C",
    total_length bigint NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    user_id text COLLATE "C",
    user_number bigint,
    user_uuid uuid,
    uuid uuid NOT NULL,
    CONSTRAINT sessions_pkey PRIMARY KEY (project_id, session_id),
    CONSTRAINT sessions_check CHECK (((user_id IS NULL) = (user_uuid IS NULL))),
    CONSTRAINT sessions_project_id_fkey FOREIGN KEY (project_id) REFERENCES projects(project_id),
    CONSTRAINT sessions_state_check CHECK ((state = ANY (ARRAY['active'::text, 'deleting'::text])))
) WITH (fillfactor=80);
CREATE INDEX sessions_active ON sessions USING btree (project_id, state, active_at, number);
CREATE INDEX sessions_assigned ON sessions USING btree (project_id, user_id, number) WHERE ((user_id IS NOT NULL) AND (assigned_at IS NOT NULL));
CREATE INDEX sessions_by_uuid ON sessions USING btree (uuid);
CREATE INDEX sessions_listed ON sessions USING btree (project_id, state, number);
CREATE INDEX sessions_of_user ON sessions USING btree (project_id, user_id, state, number) WHERE (user_id IS NOT NULL);
CREATE INDEX sessions_of_user_active ON sessions USING btree (project_id, user_id, state, active_at, number) WHERE (user_id IS NOT NULL);
CREATE INDEX sessions_to_embed ON sessions USING btree (project_id, number) WHERE (last_seq > embedded_seq);
CREATE INDEX sessions_without_user ON sessions USING btree (project_id, state, number) WHERE (user_id IS NULL);

CREATE TABLE users (
    created_at timestamp with time zone NOT NULL,
    do_not_embed smallint NOT NULL,
    email text,
    email_folded text COLLATE "C",
    erasure_uuid uuid,
    first_name text,
    last_name text,
    metadata jsonb,
    number bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY,
    project_id smallint NOT NULL,
    revision bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    uuid uuid NOT NULL,
    CONSTRAINT users_pkey PRIMARY KEY (project_id, user_id),
    CONSTRAINT users_project_id_fkey FOREIGN KEY (project_id) REFERENCES projects(project_id),
    CONSTRAINT users_state_check CHECK ((state = ANY (ARRAY['active'::text, 'deleting'::text])))
);
CREATE INDEX users_by_email ON users USING btree (project_id, email_folded, number) WHERE (email_folded IS NOT NULL);
CREATE INDEX users_by_uuid ON users USING btree (uuid);
CREATE INDEX users_listed ON users USING btree (project_id, state, number);

CREATE TABLE verifications (
    erasure_uuid uuid NOT NULL,
    findings text,
    finished_at timestamp with time zone,
    lease_expires_at timestamp with time zone NOT NULL,
    problem text,
    project_id smallint NOT NULL,
    started_at timestamp with time zone NOT NULL,
    state text COLLATE "C" NOT NULL,
    uuid uuid NOT NULL,
    CONSTRAINT verifications_pkey PRIMARY KEY (project_id, uuid),
    CONSTRAINT verifications_project_id_fkey FOREIGN KEY (project_id) REFERENCES projects(project_id),
    CONSTRAINT verifications_state_check CHECK ((state = ANY (ARRAY['running'::text, 'finished'::text, 'failed'::text])))
);

CREATE TABLE messages (
    content text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    data text,
    edited_at timestamp with time zone,
    id text COLLATE "C" NOT NULL,
    metadata jsonb,
    name text NOT NULL,
    project_id smallint NOT NULL,
    revision bigint NOT NULL,
    role text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    token_count bigint,
    word_count integer NOT NULL,
    words tsvector,
    CONSTRAINT messages_pkey PRIMARY KEY (project_id, session_id, seq),
    CONSTRAINT messages_project_id_session_id_fkey FOREIGN KEY (project_id, session_id) REFERENCES sessions(project_id, session_id),
    CONSTRAINT messages_project_id_uuid_session_id_key UNIQUE (project_id, id, session_id)
);
CREATE INDEX messages_words ON messages USING gin (words) WITH (gin_pending_list_limit='256');
