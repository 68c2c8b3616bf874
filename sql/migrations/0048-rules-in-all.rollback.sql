drop function rules_in_all();
drop policy rules_of_owner on rules;
drop index rules_in_use;
