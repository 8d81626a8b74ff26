package main

import (
	"context"
	"io"
	"slices"
)

// goal is one table: what is to be reached, and how it is measured.
type goal struct {
	id    string // for --only
	title string
	goal  string // the figure to reach, in words
	run   func(context.Context, env, *table) error
}

// env is what a goal needs to know of this run.
type env struct {
	short bool
	self  string // this program, to run children
	// simulacro is the program whose agents are measured; empty: it is not built.
	simulacro string
}

// goals lists everything, in the order of the document. A new engine adds a function in a file of its own and a line here.
func goals() []goal {
	return slices.Concat(wsGoals(), httpGoals(), redisGoals(), postgresGoals())
}

// children are the processes of a measurement, by name: generators and servers run apart, so that the CPU of each is its own.
func children() map[string]func(context.Context, io.Reader, io.Writer) error {
	all := map[string]func(context.Context, io.Reader, io.Writer) error{
		"ws-server":   wsServer,
		"http-server": httpServer,
		"http-own":    httpOwn,
		"http-vegeta": httpVegeta,
	}
	for name, client := range rivals() {
		all[name] = rivalMain(client)
	}
	return all
}
