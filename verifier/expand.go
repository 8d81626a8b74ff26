package verifier

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/eevans-d/simulacro/drills"
)

// Expand resolves ${env:NAME} and ${file:PATH} in a string. An error names the reference, never a value.
type Expand func(string) (string, error)

// noExpand is used when none is given.
func noExpand(s string) (string, error) { return s, nil }

func (e Expand) all(fields ...*string) error {
	var errs []error
	for _, f := range fields {
		v, err := e(*f)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		*f = v
	}
	return errors.Join(errs...)
}

func (e Expand) list(in []string) ([]string, error) {
	out := slices.Clone(in)
	for i := range out {
		if err := e.all(&out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// probe expands a copy of a probe's spec: what the agent gets.
func (e Expand) probe(s drills.ProbeSpec) (drills.ProbeSpec, error) {
	err := e.all(&s.URL, &s.Body, &s.Expect.Contains, &s.PublishURL, &s.Topic, &s.Address, &s.Master, &s.Username,
		&s.Password, &s.Key, &s.DSN, &s.Query)
	var errList, errCommand, errTLS, errAuth, errLogin, errHeaders error
	s.SentinelAuth, errAuth = s.SentinelAuth.Expanded(e)
	s.Sentinels, errList = e.list(s.Sentinels)
	s.Command, errCommand = e.list(s.Command)
	s.TLS, errTLS = s.TLS.Expanded(e)
	if s.Login != nil {
		l := *s.Login
		errLogin = e.all(&l.URL, &l.Username, &l.Password)
		s.Login = &l
	}
	s.Headers = maps.Clone(s.Headers)
	for k, v := range s.Headers {
		errHeaders = errors.Join(errHeaders, e.all(&v))
		s.Headers[k] = v
	}
	return s, errors.Join(err, errList, errCommand, errTLS, errAuth, errLogin, errHeaders)
}

// canary expands a copy of a canary's spec.
func (e Expand) canary(s drills.CanarySpec) (drills.CanarySpec, error) {
	err := e.all(&s.Keys, &s.Table, &s.Master, &s.Address, &s.Username, &s.Password, &s.DSN, &s.PublishURL, &s.Topic, &s.Body, &s.Expect.Contains)
	var errList, errMembers, errTLS, errAuth, errHTTP, errReceive error
	s.Receive, errReceive = e.list(s.Receive)
	errHTTP = e.httpCanary(&s)
	s.SentinelAuth, errAuth = s.SentinelAuth.Expanded(e)
	s.Sentinels, errList = e.list(s.Sentinels)
	s.Members, errMembers = e.list(s.Members)
	s.TLS, errTLS = s.TLS.Expanded(e)
	return s, errors.Join(err, errList, errMembers, errTLS, errAuth, errHTTP, errReceive)
}

// httpCanary expands copies of what only canaries of kind http and websocket have.
func (e Expand) httpCanary(s *drills.CanarySpec) error {
	var errs []error
	if s.Login != nil {
		l := *s.Login
		errs = append(errs, e.all(&l.URL, &l.Username, &l.Password))
		s.Login = &l
	}
	if s.Write != nil {
		w := *s.Write
		errs = append(errs, e.all(&w.URL, &w.Body))
		s.Write = &w
	}
	if s.Read != nil {
		r := *s.Read
		errs = append(errs, e.all(&r.URL))
		s.Read = &r
	}
	if s.List != nil {
		l := *s.List
		errs = append(errs, e.all(&l.URL))
		s.List = &l
	}
	if s.Remove != nil {
		r := *s.Remove
		errs = append(errs, e.all(&r.URL))
		s.Remove = &r
	}
	s.Headers = maps.Clone(s.Headers)
	for k, v := range s.Headers {
		errs = append(errs, e.all(&v))
		s.Headers[k] = v
	}
	return errors.Join(errs...)
}

func placeOf(f drills.From, name string) drills.Place {
	if f.Network == "" {
		return drills.Place{Kind: drills.PlaceHost, Name: name, Realtime: true}
	}
	return drills.Place{Kind: drills.PlaceNetwork, Network: f.Network, Name: name, Realtime: true}
}

func placeName(p drills.Place) string {
	if p.Kind == drills.PlaceHost {
		return "host"
	}
	return fmt.Sprintf("%s %s", p.Kind, p.Network)
}
