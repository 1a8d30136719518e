-- Links by which a customer connects an org in a browser (OAuth's web-server flow with PKCE). A link is its
-- token, of which only the hash is kept; app and attempt are ciphertexts that name their key (AES-256-GCM),
-- and go when the link is used. Rows are removed an hour after they expired.
create table connect_link (
  id            uuid primary key,
  project_id    uuid not null references project (id) on delete cascade,
  group_ref     text not null check (length(group_ref) between 1 and 255),
  provider      text not null,
  token_hash    bytea not null unique,
  -- where the customer signs in, when the link leaves no choice
  login_url     text,
  -- where they may go afterwards
  return_url    text,
  -- the connected app's id and secret
  app           bytea,
  -- the sign-in under way: a later one takes its place. state_hash is of what comes back with the browser,
  -- browser_hash of the cookie that says it is the same one; taken_at makes that count once
  attempt       bytea,
  state_hash    bytea unique,
  browser_hash  bytea,
  begun_at      timestamptz,
  taken_at      timestamptz,
  -- since when the org is connected
  used_at       timestamptz,
  expires_at    timestamptz not null,
  created_at    timestamptz not null default now(),
  check ((state_hash is null) = (begun_at is null)),
  check ((state_hash is null) = (browser_hash is null)),
  check (taken_at is null or state_hash is not null),
  check (used_at is null or taken_at is not null),
  check ((used_at is null) = (app is not null)),
  check (attempt is null or used_at is null)
);
-- For their removal.
create index connect_link_by_time on connect_link (expires_at);
