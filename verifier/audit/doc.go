// Package audit looks at a system's monitoring before anything is broken and says what would mislead: targets that are not
// scraped as declared, rules that can never fire or always do, routes that nobody reaches, receivers that tell nobody,
// dashboards without data, labels that grow without end, certificates that end. It only asks; it changes nothing. Only Truth
// has something done, by a witness that it is given, and compares what the numbers say of it.
package audit
