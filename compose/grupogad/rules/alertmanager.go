package main

// The parts of Alertmanager's file format that are used here.
type (
	amConfig struct {
		Global    map[string]string `yaml:"global"`
		Route     amRoute           `yaml:"route"`
		Inhibit   []amInhibit       `yaml:"inhibit_rules"`
		Receivers []amReceiver      `yaml:"receivers"`
	}
	amRoute struct {
		Receiver string    `yaml:"receiver"`
		Matchers []string  `yaml:"matchers,omitempty"`
		GroupBy  []string  `yaml:"group_by,omitempty"`
		Wait     string    `yaml:"group_wait"`
		Every    string    `yaml:"group_interval"`
		Repeat   string    `yaml:"repeat_interval"`
		Routes   []amRoute `yaml:"routes,omitempty"`
	}
	amInhibit struct {
		Source []string `yaml:"source_matchers"`
		Target []string `yaml:"target_matchers"`
		Equal  []string `yaml:"equal"`
	}
	amReceiver struct {
		Name     string      `yaml:"name"`
		Webhooks []amWebhook `yaml:"webhook_configs"`
	}
	amWebhook struct {
		URL          string `yaml:"url"`
		SendResolved bool   `yaml:"send_resolved"`
	}
)

// sinkURL stands in for mail and chat: it keeps every notification with the time it came in.
const sinkURL = "http://sink:8080/webhook"

// placeholder is where notifications go that nobody gets: GRUPO_GAD's file has an address that was never filled in.
const placeholder = "http://hooks.example.invalid/services/YOUR/SLACK/WEBHOOK"

func alertmanagerConfig(s set, defects []string) amConfig {
	route := func(severity, receiver string) amRoute {
		return amRoute{Receiver: receiver, Wait: promDuration(s.GroupWait[severity]), Every: promDuration(s.GroupEvery), Repeat: promDuration(s.RepeatEvery[severity])}
	}
	c := amConfig{Global: map[string]string{"resolve_timeout": promDuration(s.ResolveAfter)}, Route: route("", "default")}
	c.Route.GroupBy = []string{"alertname", "component", "severity"}
	c.Receivers = []amReceiver{receiver("default")}
	for _, severity := range []string{critical, warning} {
		r := route(severity, severity+"-alerts")
		r.Matchers = []string{`severity="` + severity + `"`}
		c.Route.Routes = append(c.Route.Routes, r)
		c.Receivers = append(c.Receivers, receiver(r.Receiver))
	}
	c.Inhibit = []amInhibit{{
		Source: []string{`alertname="APIDown"`},
		Target: []string{`severity="warning"`, `component="api"`}, Equal: []string{"environment"},
	}, {
		Source: []string{`alertname="InstanceDown"`},
		Target: []string{`severity="warning"`}, Equal: []string{"instance"},
	}}
	for _, d := range defects {
		spoilAlertmanager(&c, d)
	}
	return c
}

// spoilAlertmanager puts a defect into the file; those of the rules change nothing here.
func spoilAlertmanager(c *amConfig, defect string) {
	switch defect {
	case unreachableRoute: // whatever has a severity, and everything has, is taken before
		r := c.Route.Routes[0]
		r.Matchers, r.Receiver = []string{`component="database"`}, "database-team"
		c.Route.Routes = append(c.Route.Routes, r)
		c.Receivers = append(c.Receivers, receiver(r.Receiver))
	case placeholderReceiver:
		for i := range c.Receivers {
			c.Receivers[i].Webhooks[0].URL = placeholder
		}
	case danglingInhibition:
		c.Inhibit = append(c.Inhibit, amInhibit{
			Source: []string{`alertname="HostUnreachable"`}, Target: []string{`severity="warning"`}, Equal: []string{"environment"},
		})
	}
}

func receiver(name string) amReceiver {
	return amReceiver{Name: name, Webhooks: []amWebhook{{URL: sinkURL, SendResolved: true}}}
}
