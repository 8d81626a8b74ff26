package hub

// A client may follow this many topics with names of this length; more would let one client eat memory.
const (
	maxTopics    = 64
	maxTopicName = 128
)

// join subscribes c to the topics and returns those it now has asked for and got.
func (h *Hub) join(c *client, topics []string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.clients[c]; !ok { // gone already: remove would not find these again
		return nil
	}
	got := make([]string, 0, len(topics))
	for _, t := range topics {
		if t == "" || len(t) > maxTopicName || (len(c.topics) >= maxTopics && !has(c.topics, t)) {
			continue
		}
		if c.topics == nil {
			c.topics = map[string]struct{}{}
		}
		c.topics[t] = struct{}{}
		if h.topics[t] == nil {
			h.topics[t] = map[*client]struct{}{}
		}
		h.topics[t][c] = struct{}{}
		got = append(got, t)
	}
	return got
}

func (h *Hub) quit(c *client, topics []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range topics {
		if has(c.topics, t) {
			delete(c.topics, t)
			h.leave(c, t)
		}
	}
}

// leave takes c out of the topic's index; an empty topic is forgotten. The caller holds mu.
func (h *Hub) leave(c *client, t string) {
	delete(h.topics[t], c)
	if len(h.topics[t]) == 0 {
		delete(h.topics, t)
	}
}

func has(m map[string]struct{}, k string) bool { _, ok := m[k]; return ok }
