-- name: lock_subject^
-- Those who try the same account at the same time take turns.
select pg_advisory_xact_lock(hashtextextended(:subject, 0));

-- name: failures^
select count(*) as failed_count, max(failed_at) as last_failed_at, now() as now
from sign_in_failures
where subject = :subject and failed_at > now() - :window;

-- name: insert_failures!
insert into sign_in_failures (subject, attempt) select unnest(:subjects::bytea[]), :attempt;

-- name: forgive_attempt!
delete from sign_in_failures where attempt = :attempt;

-- name: forget_failures!
delete from sign_in_failures where subject = any(:subjects);

-- name: expire_failures!
delete from sign_in_failures where failed_at < now() - :window;

-- name: password_of_user^
select email, name, password_hash from users where id = scope_user() and disabled_at is null;

-- name: set_password!
update users set password_hash = :password_hash where id = scope_user();

-- name: rehash_password!
update users set password_hash = :password_hash
where id = scope_user() and password_hash = :previous;

-- name: insert_ticket!
insert into tickets (token_hash, kind, user_id, expires_at)
values (:token_hash, :kind, :user_id, now() + :lifetime);

-- name: ticket^
select user_id from tickets
where token_hash = :token_hash and kind = :kind and expires_at > now();

-- name: use_ticket^
delete from tickets
where token_hash = :token_hash and kind = :kind and expires_at > now()
returning user_id;

-- name: drop_tickets!
delete from tickets where user_id = scope_user() and kind = :kind;

-- name: expire_tickets!
delete from tickets where expires_at < now();

-- name: factor^
select sealed_secret from second_factors where user_id = scope_user();

-- name: pending_factor^
select sealed_secret from second_factors
where user_id = scope_user() and confirmed_at is null and created_at > now() - :patience;

-- name: has_factor$
select exists (
  select from second_factors where user_id = scope_user() and confirmed_at is not null
);

-- name: begin_factor!
insert into second_factors (user_id, sealed_secret) values (scope_user(), :sealed_secret)
on conflict on constraint second_factors_pkey do update
  set sealed_secret = excluded.sealed_secret, created_at = now(), last_step = 0
  where second_factors.confirmed_at is null;

-- name: take_step!
update second_factors set last_step = :step where user_id = scope_user() and last_step < :step;

-- name: confirm_factor!
update second_factors set confirmed_at = now()
where user_id = scope_user() and confirmed_at is null;

-- name: drop_factor!
delete from second_factors where user_id = scope_user();

-- name: drop_recovery_codes!
delete from recovery_codes where user_id = scope_user();

-- name: insert_recovery_codes!
insert into recovery_codes (user_id, code_hash)
select scope_user(), unnest(:hashes::bytea[]);

-- name: take_recovery_code!
delete from recovery_codes where user_id = scope_user() and code_hash = :code_hash;

-- name: recovery_codes_left$
select count(*) from recovery_codes where user_id = scope_user();
