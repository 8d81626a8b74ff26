// Package helper is what runs inside a target's namespaces: one short-lived process per fault, started by a
// drills.Launcher, told what to do by its first frame, and gone together with its fault when its stream closes, its
// lease ends or it is killed. It knows nothing of containers or of who started it.
//
// A partition lives in a nftables table with the kernel's owner flag: the table belongs to this process's netlink
// socket and vanishes with it, even on SIGKILL. No other table of the namespace is read, changed or flushed.
//
// A fault on traffic uses such rules too. Where packets must wait or change they are handed to a queue of ours, which lets
// them pass when nobody listens any more, or led to the kernel's netem. That has no owner and outlives a killed helper, but
// nothing comes to it without the rules: see netem.go and docs/adr/0012.
package helper
