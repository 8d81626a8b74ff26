package scenario

import (
	"slices"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// fanOutCanary checks how messages are published and where they must arrive.
func (d *document) fanOutCanary(path string, c *drills.CanarySpec) {
	if d.required(path+".publish", c.PublishURL != "", "where messages are posted: http://host:port/path") {
		d.url(path+".publish", c.PublishURL, "http", "https")
		d.dsnSecret(path+".publish", c.PublishURL)
	}
	d.required(path+".receive", len(c.Receive) > 0, "where they must arrive, as a list of ws://host:port/path; more than one instance shows what passes between them")
	for i, u := range c.Receive {
		p := path + ".receive[" + itoa(i) + "]"
		d.url(p, u, "ws", "wss")
		d.dsnSecret(p, u)
		if slices.Index(c.Receive, u) < i {
			d.add(p, "this address is there twice", "clients: 4 opens more connections to each")
		}
	}
	if c.Clients == 0 {
		c.Clients = 2
	}
	if c.Clients < 1 || c.Clients > 50 {
		d.add(path+".clients", "that many clients are not supported", "from 1 to 50 at each address; a load step makes thousands")
	}
	const topic = "such as simulacro-canary-{run}: nobody else may listen to it"
	if d.required(path+".topic", c.Topic != "", topic) && !strings.Contains(c.Topic, "{run}") {
		d.add(path+".topic", "the topic must be the run's own, so that no user is told anything", topic)
	}
	if c.Body != "" && (!strings.Contains(c.Body, "{id}") || !strings.Contains(c.Body, "{topic}")) {
		d.add(path+".body", "the body lacks {id} or {topic}", "both are replaced in every message")
	}
	d.statuses(path+".expect.status", c.Expect.Status)
	const stored = "pub/sub stores nothing: what the clients receive is all that can be read back"
	d.unused(path, stored, "members", "purge", "connection")
}
