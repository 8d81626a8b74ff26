// Package journal keeps runs on disk: one directory per run, with an append-only, hash-chained, fsynced
// record/events.jsonl, the raw samples, and the files that are rendered from them.
//
//	runs/20261123T173045Z-redis-primary-kill-k3x9qa/
//	  plan/ record/events.jsonl raw/ report/ ci/ control/ lock
//
// A live process holds a lock on the run directory's lock file, so that "crashed" is something that can be
// seen from outside: no closed event, and nobody holds the lock. The lock is an open-file-description lock:
// it ends with its process however that ends, and it can be looked at without being taken.
//
// Every line holds the SHA-256 of the line before it, so that any change to a line breaks the chain from there
// on. A last line without its newline is a torn write: its Append never returned, so nothing was done
// because of it, and it may be dropped.
//
// Some space is set aside when a run begins. When the disk fills, it is given to the journal: the Append that
// met the full disk fails, so that the run stops, and what restoring has to say can still be written.
package journal
