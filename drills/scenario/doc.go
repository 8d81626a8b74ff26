// Package scenario turns the three kinds of YAML files (system, drill, calendar) into the domain's types, strictly:
// unknown keys, wrong types, bare numbers as durations, missing targets and impossible values are errors, and every
// error of a file is reported at once with file:line:column, the path of the value and a hint.
//
// Defaults are filled in here, so that the rest of the program never has to ask what an empty field means.
// ${env:NAME} and ${file:PATH} stay references: only their syntax is checked. Expand resolves them, at the moment
// when a value is handed to the process that needs it.
package scenario
