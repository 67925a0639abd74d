-- Rate limits, debounces, batches and singletons of starts, and what became of starts that made no run of their own.

SELECT 1;
