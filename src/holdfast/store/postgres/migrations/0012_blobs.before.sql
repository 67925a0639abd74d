-- Values that are too large to stand where they belong.

SELECT 1;
