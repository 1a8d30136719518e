-- Who may call and whose Salesforce org is written to: projects, their keys, integrations,
-- connections and installations (contract section 4). These tables are small and read through
-- caches; every change says so on the channel writeback_setup.

create table project (
  id          uuid primary key,
  name        text not null unique check (length(name) between 1 and 255),
  created_at  timestamptz not null default now()
);

create table api_key (
  id          uuid primary key,
  project_id  uuid not null references project (id) on delete cascade,
  label       text not null,
  scopes      text[] not null check (cardinality(scopes) > 0 and scopes <@ array['write', 'read', 'admin']),
  key_hash    bytea not null unique,
  created_at  timestamptz not null default now()
);
create index api_key_by_project on api_key (project_id, id);

create table integration (
  id          uuid primary key,
  project_id  uuid not null references project (id) on delete cascade,
  name        text not null check (length(name) between 1 and 255),
  provider    text not null,
  created_at  timestamptz not null default now(),
  unique (project_id, name)
);
create index integration_by_project on integration (project_id, id);

-- credentials and session are ciphertexts that name their key (AES-256-GCM). session_version counts
-- the sessions minted: a process that met an expired session refreshes only if no other has yet.
-- refresh_lease names the one refresh under way and refresh_until when it counts as dead: the mark is
-- committed before the login host is called, so that a refresh which died midway leaves a trace.
-- rotates is set once a refresh was answered with a new refresh token: one that was used is spent then.
-- quick_refusals counts sessions in a row that were refused within a minute of being minted.
create table connection (
  id               uuid primary key,
  project_id       uuid not null references project (id) on delete cascade,
  group_ref        text not null check (length(group_ref) between 1 and 255),
  provider         text not null,
  status           text not null default 'working' check (status in ('working', 'broken')),
  status_reason    text,
  credential_type  text not null,
  credentials      bytea not null,
  session          bytea,
  session_version  integer not null default 0,
  session_at       timestamptz,
  refresh_lease    uuid,
  refresh_until    timestamptz,
  rotates          boolean not null default false,
  quick_refusals   smallint not null default 0,
  created_at       timestamptz not null default now(),
  updated_at       timestamptz not null default now(),
  check ((refresh_lease is null) = (refresh_until is null))
);
create index connection_by_project on connection (project_id, id);
create index connection_by_group on connection (project_id, group_ref, provider);

create table installation (
  id              uuid primary key,
  project_id      uuid not null references project (id) on delete cascade,
  integration_id  uuid not null references integration (id) on delete cascade,
  group_ref       text not null check (length(group_ref) between 1 and 255),
  connection_id   uuid not null references connection (id),
  config_id       uuid not null,
  config          jsonb not null,
  created_at      timestamptz not null default now(),
  unique (integration_id, group_ref)
);
create index installation_by_integration on installation (integration_id, id);
create index installation_by_connection on installation (connection_id);
