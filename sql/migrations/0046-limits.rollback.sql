drop policy tenants_of_credential on tenants;
