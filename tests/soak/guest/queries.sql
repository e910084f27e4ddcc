-- SPDX-License-Identifier: GPL-2.0-or-later
CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b REAL, c TEXT);
WITH RECURSIVE n(i, s) AS (SELECT 1, 42 UNION ALL SELECT i + 1, (s * 16807) % 2147483647 FROM n WHERE i < 60000)
INSERT INTO t SELECT i, s % 1009, s / 977.0, 'word' || (s % 5003) FROM n;
SELECT count(*), sum(a), printf('%.6f', total(b)), min(c), max(c) FROM t;
CREATE INDEX ta ON t(a);
CREATE INDEX tc ON t(c, b DESC);
SELECT a, count(*), printf('%.3f', avg(b)) FROM t GROUP BY a ORDER BY 2 DESC, 1 LIMIT 10;
SELECT count(*) FROM t x JOIN t y ON x.c = y.c AND x.id < y.id;
SELECT c, group_concat(id, '-') FROM (SELECT * FROM t WHERE c LIKE 'word1__' ORDER BY id LIMIT 40) GROUP BY c ORDER BY c LIMIT 8;
UPDATE t SET b = b * 1.5 - a WHERE id % 3 = 0;
DELETE FROM t WHERE a BETWEEN 100 AND 200;
SELECT count(*), printf('%.4f', sum(b)) FROM t;
SELECT id, a, printf('%.3f', sum(b) OVER (ORDER BY id ROWS 5 PRECEDING)), rank() OVER (ORDER BY a, id) FROM t WHERE id % 4001 = 0;
BEGIN; UPDATE t SET c = upper(c) || hex(a); ROLLBACK;
VACUUM;
PRAGMA integrity_check;
SELECT json_group_array(a) FROM (SELECT DISTINCT a FROM t ORDER BY a LIMIT 20);
WITH RECURSIVE q(n, x, y) AS (SELECT 0, 0.5, 0.1 UNION ALL SELECT n + 1, x * x - y * y - 0.4, 2 * x * y + 0.6 FROM q WHERE n < 50)
SELECT printf('%.15g %.15g', sum(x), sum(y)) FROM q;
