// Package between is a proxy that stands between a process and what it talks to, and spoils a share of their exchanges. It
// reads HTTP/1.x, or any protocol over TCP in which one side asks and the other answers. What no rule hits passes byte by
// byte as it came: heads, chunks, upgraded connections and everything that it does not understand.
//
// It knows no packets and no namespaces: who leads connections here, and where they were going, is the caller's business.
package between
