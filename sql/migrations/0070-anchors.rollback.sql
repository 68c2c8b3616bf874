drop table anchors;
drop table anchor_targets;
drop function keep_anchor();
