// Package calendar decides when drills run: which slots of a calendar are due, and for each of them whether it runs, waits,
// or is missed and why. It is pure but for the claims, which see to it that two servers never run one slot twice.
//
// # Local time
//
// A cron line (five fields) is meant in its entry's time zone, and every local time that it names gives exactly one slot:
//
//   - A local time that does not exist, because the clocks were put forward over it, is due that much later on the
//     clock (02:30 becomes 03:30). It is not skipped: a monthly drill would be lost for a month.
//   - A local time that comes twice, because the clocks were put back, is due the first time only.
//
// So a line that names every minute has no slots in the second of two equal hours. Zone rules come with the program.
package calendar
