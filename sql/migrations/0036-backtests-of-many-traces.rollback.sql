alter table backtest_results drop column seen;
drop table backtest_handed;
delete from backtests b
where exists (
  select from backtest_parts p
  where p.tenant_id = b.tenant_id and p.backtest_id = b.id and p.gathers
);
alter table backtest_parts drop column first_at, drop column gathers;
