"""What a tenant uses: spans of each day and month, the quota, and warnings before it is used up."""
