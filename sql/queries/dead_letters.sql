-- name: page
-- Newest first.
select letter_partition, letter_offset, source, code, detail, topic, log_partition, log_offset,
       octet_length(content) as content_bytes, at, state, settled_at, settled_by, note
from dead_letters
where tenant_id = scope_tenant()
  and (:state::text is null or state = :state)
  and (:source::text is null or source = :source)
  and (:code::text is null or code = :code or starts_with(code, :code || '.'))
  and (:from_at::timestamptz is null or at >= :from_at)
  and (:to_at::timestamptz is null or at < :to_at)
  and (:before_at::timestamptz is null
       or (at, letter_partition, letter_offset) < (:before_at, :before_partition, :before_offset))
order by at desc, letter_partition desc, letter_offset desc
limit :limit;

-- name: one^
select letter_partition, letter_offset, source, code, detail, topic, log_partition, log_offset,
       octet_length(content) as content_bytes, content, at, state, settled_at, settled_by, note
from dead_letters
where tenant_id = scope_tenant() and letter_partition = :partition and letter_offset = :offset;

-- name: lock^
-- As `one`, and nobody else settles it meanwhile.
select letter_partition, letter_offset, source, code, detail, topic, log_partition, log_offset,
       octet_length(content) as content_bytes, content, at, state, settled_at, settled_by, note
from dead_letters
where tenant_id = scope_tenant() and letter_partition = :partition and letter_offset = :offset
for update;

-- name: settle!
update dead_letters
set state = :state, settled_at = now(), settled_by = :actor, note = :note
where tenant_id = scope_tenant() and letter_partition = :partition and letter_offset = :offset;
