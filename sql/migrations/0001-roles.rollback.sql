-- Roles belong to the server and may serve another database of it: they stay.

revoke usage on schema public from betrace_app, betrace_worker;
