package reports

import "github.com/eevans-d/simulacro/drills"

// deliveries is a run with a canary whose messages are stored nowhere.
func deliveries() drills.Record {
	r := passed()
	r.Findings, r.Load, r.Checks, r.Probes = nil, nil, nil, r.Probes[:1]
	client := func(name string, lost, connected, twice, order, again int, gap float64) drills.ClientDelivery {
		return drills.ClientDelivery{
			Client: name, Received: 640 - lost, Lost: lost, Connected: connected, Duplicated: twice, Reordered: order, Reconnects: again,
			Gap: dur(gap), GapFrom: sec(15), P50: dur(0.004), P95: dur(0.011), Max: dur(0.2),
		}
	}
	r.Canaries = []drills.CanaryMeasured{{
		Name: "ws-fan-out", Kind: "websocket", Place: "network gad", Connection: "persistent", Every: dur(0.1), Sent: 700, Acked: 640, Failed: 10, Indeterminate: 50,
		Survived: 600, Lost: 40, LostBeforeT0: 1, Duplicated: 640, Reordered: 2, ReadBack: iv(78, 81), From: sec(2), Cell: dur(0.5), Strip: strip(80, 5, [2]float64{20.1, 26.3}),
		Spans:   []drills.LostSpan{{FromSeq: 130, ToSeq: 169, Writes: 40, FirstAck: sec(15), LastAck: sec(19)}},
		Clients: []drills.ClientDelivery{client("api-2:8000 #1", 0, 0, 640, 0, 0, 0.3), client("api-1:8000 #1", 40, 38, 0, 2, 1, 4.2)},
		Raw:     "canary-ws-fan-out.csv", SHA256: "1f825aa2f0020ef7cf91dfa30da4668d791c5d4824fc8e41354b89ec05795ab3",
	}}
	return r
}
