-- Streams of what runs produce while they execute.

SELECT 1;
