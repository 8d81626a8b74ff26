package main

import "github.com/eevans-d/simulacro/compose/grupogad/api/defects"

// The defects that the bot can be told to have: each breaks one mechanism and nothing else.
const (
	// sendOnce tries a message once; one that fails is lost (as the real bot does).
	sendOnce defects.Name = "send-once"
	// createNeverCalls reports a task as created without asking the API (as the real bot's wizard does).
	createNeverCalls defects.Name = "create-never-calls"
	// noDedupe sends whatever comes, also what is being sent or was delivered.
	noDedupe defects.Name = "no-dedupe"
	// neverReclaims leaves what an earlier delivery did not finish where it is.
	neverReclaims defects.Name = "never-reclaims"
	// healthLies answers every question for health with 200 (the real one's check is `echo ok`).
	healthLies defects.Name = "health-lies"
	// breakerDisabled lets every call through.
	breakerDisabled defects.Name = "breaker-disabled"
	// breakerNeverCloses keeps a breaker open once it is.
	breakerNeverCloses defects.Name = "breaker-never-closes"
)

func allDefects() []defects.Name {
	return []defects.Name{sendOnce, createNeverCalls, noDedupe, neverReclaims, healthLies, breakerDisabled, breakerNeverCloses}
}
