-- The two roles that the services sign in with. Neither owns a table nor bypasses row-level
-- security. On a managed server an administrator may create them beforehand.

do $$
begin
  if not exists (select from pg_roles where rolname = 'betrace_app') then
    create role betrace_app login nosuperuser nocreatedb nocreaterole nobypassrls;
  end if;
  if not exists (select from pg_roles where rolname = 'betrace_worker') then
    create role betrace_worker login nosuperuser nocreatedb nocreaterole nobypassrls;
  end if;
end
$$;

grant usage on schema public to betrace_app, betrace_worker;
