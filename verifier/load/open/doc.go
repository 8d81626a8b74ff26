// Package open is an open-model load engine: operations are due on an absolute schedule, whatever became of those before.
//
// A flow has a rate, a bounded number of kept connections and a queue of due times. When the target is slower than the
// rate, the queue grows and its operations wait; no worker is added. Three times of every operation are kept:
//
//	latency = done - due    what a user who came at that moment waited (corrected for coordinated omission)
//	wait    = sent - due    of it, before a connection was free
//	service = done - sent   of it, at the target: what a closed-loop tool would report
//
// How late the generator itself was is kept apart (lag): the dispatcher's wake-up behind the schedule, and the start of
// an operation on a connection that was free. With it, a saturated generator says so.
package open
