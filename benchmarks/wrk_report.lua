-- Prints what wrk measured as one line of JSON, after its own report.
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "microseconds": %d, "bytes": %d, "p99_us": %d, ' ..
    '"bad_status": %d, "broken": %d, "timeouts": %d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
