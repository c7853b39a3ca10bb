"""The client side of the model server: requests, retries, circuit breaker, outages, metrics."""
