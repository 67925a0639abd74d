-- Shares of tenants and keys in a queue.

SELECT 1;
