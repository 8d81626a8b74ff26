// Package monitor is the second and third view of a drill: what Prometheus saw, and what people were told.
//
// It watches Prometheus for alerts (pending, firing, gone) and a webhook sink for notifications, at a poll
// interval of its own, and says of every step the interval in which it must have happened. It never guesses:
// where monitoring did not answer, the run has a "monitoring-blind" finding with the span, and every change
// seen across that span carries the whole span as its interval.
//
// After the run it evaluates PromQL over windows of the run at the scrape resolution, and tells apart an
// exporter that is up from the service behind it that is down.
package monitor
