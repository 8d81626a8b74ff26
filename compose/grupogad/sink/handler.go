package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// maxPayload bounds one webhook call; Alertmanager's are a few kilobytes per alert.
const maxPayload = 1 << 20

func handler(r *recorder) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]string{"status": "ok"}) })
	mux.HandleFunc("POST /webhook", r.webhook)
	mux.HandleFunc("GET /notifications", r.notifications)
	return mux
}

// webhook takes the time before it reads the body: that is when the notification arrived.
func (r *recorder) webhook(w http.ResponseWriter, req *http.Request) {
	now := time.Now()
	n := notification{}
	if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxPayload)).Decode(&n); err != nil {
		http.Error(w, "not an Alertmanager webhook: "+err.Error(), http.StatusBadRequest)
		return
	}
	if n.Alerts == nil {
		http.Error(w, "not an Alertmanager webhook: no alerts", http.StatusBadRequest)
		return
	}
	n.ReceivedAt, n.ReceivedUnixNs = now.UTC(), now.UnixNano() // whatever the payload claims
	r.add(n)
	reply(w, map[string]string{"status": "ok"})
}

func (r *recorder) notifications(w http.ResponseWriter, req *http.Request) {
	var since int64
	if text := req.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = strconv.ParseInt(text, 10, 64); err != nil {
			http.Error(w, "since must be Unix nanoseconds", http.StatusBadRequest)
			return
		}
	}
	reply(w, r.since(since))
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may have gone; there is nobody left to tell
}
