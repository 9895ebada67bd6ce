// The script of the page: it shows the status by the picture, and asks for the next status.
//
// Every text comes from the status, so it is hostile: it gets into the page by `textContent` alone, and characters that
// are not printable are shown as escapes. Nothing is ever rebuilt: each row and cell is made once, found again by its
// key, and changed if its text has changed. So scroll, selection, focus and what is folded stay as they are.
//
// The rules of paths and values are those of sidecars/chassis/page/values.py.

const byId = id => document.getElementById(id)
const {path: askedPath, siblings: hasSiblings, states, process, picture, status: firstStatus} = JSON.parse(byId("data").textContent)

// The place of the endpoints: below any prefix, with and without a slash at its end.
const base = location.pathname.slice(0, askedPath == "/status" ? -6 : undefined).replace(/\/*$/, "/")
for (const link of document.querySelectorAll("nav a")) link.href = base + link.getAttribute("href")

// -- elements ---------------------------------------------------------------------------------------------------------

const add = (parent, tag, text) => {
  const made = document.createElement(tag)
  if (text) made.textContent = text
  parent.append(made)
  return made
}
const put = (node, text) => {
  if (node.textContent != text) node.textContent = text
}

// Return a function that shows a child for each member of a Map, in its order. `make` returns a new child, and the
// function that shows a member in it. A child is moved only if the order has changed.
const each = (parent, make) => {
  const children = new Map()
  return items => {
    for (const [key, [child]] of children) if (!items.has(key)) child.remove(), children.delete(key)
    let next = parent.firstChild
    for (const [key, item] of items) {
      if (!children.has(key)) children.set(key, make())
      const [child, show] = children.get(key)
      if (child == next) next = next.nextSibling
      else parent.insertBefore(child, next)
      show(item)
    }
  }
}

// -- paths ------------------------------------------------------------------------------------------------------------

const isObject = value => value && typeof value == "object"
const get = (value, name) => (isObject(value) && Object.hasOwn(value, name) ? value[name] : null)
const addRows = (found, value, [name, ...rest], keys = [], scopes = []) => {
  if (!name) found.push([keys, [value, ...scopes]])
  else if (name != "*") get(value, name) == null || addRows(found, value[name], rest, keys, [value, ...scopes])
  else if (isObject(value)) for (const key in value) addRows(found, value[key], rest, [...keys, key], scopes)
  return found
}
const find = ([keys, scopes], path) => {
  if (path == ".") return scopes[0]
  if (path.startsWith("key:")) return keys[path.slice(4)]
  const [first, ...rest] = path.split(".")
  return rest.reduce(get, get(scopes.find(scope => get(scope, first) != null), first))
}

// -- values as text ---------------------------------------------------------------------------------------------------

const nothing = "—"
const visible = (text, longest = 300) =>
  (text.length > longest ? text.slice(0, longest - 1) + "…" : text).replace(
    /\p{C}/gu,
    one => "\\u" + one.codePointAt(0).toString(16).padStart(4, "0"),
  )
const rounded = value => (Math.abs(value) < 9.95 ? +value.toFixed(Math.abs(value) < 1 ? 2 : 1) + "" : Math.round(value).toLocaleString("en"))
const count = value => (Number.isInteger(value) ? value.toLocaleString("en") : rounded(value))
const size = value => {
  let unit = 0
  for (; Math.abs(value) >= 1023.5 && unit < 5; unit++) value /= 1024
  return rounded(value) + " " + ["B", "KiB", "MiB", "GiB", "TiB", "PiB"][unit]
}
const duration = value => {
  const long = Math.abs(value)
  const [unit, seconds] =
    long < 1e-3 && long ? ["µs", 1e-6] : long < 1 && long ? ["ms", 1e-3] : long < 120 ? ["s", 1] : long < 7200 ? ["min", 60] : long < 172800 ? ["h", 3600] : ["d", 86400]
  return rounded(value / seconds) + " " + unit
}
const text = value =>
  value === true ? "yes" : value === false ? "no" : typeof value == "number" ? count(value) : visible(isObject(value) ? JSON.stringify(value) : "" + value)
const isEmpty = value => value == null || value === ""
const listed = value =>
  visible(
    Array.isArray(value)
      ? value.filter(one => !isEmpty(one)).map(text).join(", ")
      : isObject(value)
        ? Object.entries(value).filter(([, one]) => one).map(([name, one]) => name + " " + text(one)).join(", ")
        : text(value),
  ) || nothing
const number = (value, kind, unit = kind) =>
  typeof value != "number" ? text(value) : unit == "bytes" ? size(value) : /^(s.*s|p..)/.test(unit) ? duration(value) : count(value)
const clock = (date, from = 11) => new Date(date - date.getTimezoneOffset() * 6e4).toISOString().slice(from, 19).replace("T", " ")

// A state is a word and a symbol, which a screen reader leaves out.
const symbols = {ok: "✓ ", warn: "▲ ", bad: "✗ "}
const grade = word => Object.keys(states).find(one => RegExp(`^(${states[one]})(?![\\w-])`, "i").test(word))
const stateOf = node => {
  node.textContent = ""
  const sign = add(node, "span")
  const said = add(node, "span")
  sign.ariaHidden = true
  return (word, of = grade(word)) => {
    node.className = of || ""
    put(sign, symbols[of] || "• ")
    put(said, word)
  }
}

// -- the last minute of a cell ----------------------------------------------------------------------------------------

let uptime = 0 // of the sidecar: the clock of all samples
let restarts = 0

const cumulative = value =>
  (Array.isArray(value) ? value : Object.entries(value)).map(([bound, total]) => [+bound.replace("+Inf", "Infinity"), total]).sort(([a], [b]) => a - b)
const quantile = (of, after, before) => {
  const grown = after.map(([bound, total], i) => [bound, total - (before[i]?.[1] || 0)])
  const rank = of * grown.at(-1)?.[1]
  let low = 0
  let below = 0
  if (rank > 0)
    for (const [bound, total] of grown) {
      if (total >= rank) return bound == 1 / 0 ? low : low + ((bound - low) * (rank - below)) / (total - below)
      low = bound
      below = total
    }
}
const total = sample => (Array.isArray(sample) ? sample.at(-1)?.[1] : sample)

// Return a function that takes the counter or the buckets of now, and returns the rate of the last 10 s or the quantile
// of the last minute, and a line of both, over 10 s each. After a restart or a pause it begins anew.
const lastMinute = kind => {
  const of = kind[0] == "p" && kind.slice(1, 3) / 100
  let samples = []
  let line = []
  let era
  return value => {
    if (isEmpty(value)) return []
    if (of) value = cumulative(value)
    const last = samples.at(-1)
    if (era != restarts || (last && (uptime - last[0] > 15 || total(value) < total(last[1])))) samples = [], line = []
    era = restarts
    samples.push([uptime, value])
    samples = samples.filter(([time]) => time > uptime - 61)
    const [time, before] = samples.find(([time]) => time > uptime - 11)
    const recent = uptime > time ? (of ? quantile(of, value, before) : (value - before) / (uptime - time)) : null
    if (uptime > time) line.push(recent)
    line = line.slice(-30)
    return [of ? quantile(of, value, samples[0][1]) : recent, line]
  }
}

// -- cells ------------------------------------------------------------------------------------------------------------

const lineOf = node => {
  const shape = tag => document.createElementNS("http://www.w3.org/2000/svg", tag)
  const picture = node.appendChild(shape("svg"))
  const path = picture.appendChild(shape("path"))
  picture.setAttribute("viewBox", "0 0 96 20")
  picture.role = "img"
  return (line, say) => {
    const known = line.filter(Number.isFinite)
    const most = Math.max(...known, 0)
    const least = Math.min(...known, 0)
    const points = line.map((value, i) => Number.isFinite(value) && `${Math.round((i * 96) / (line.length - 1 || 1))} ${(19 - ((value - least) / (most - least || 1)) * 18).toFixed(1)}`)
    picture.ariaLabel = known.length ? `${known.length} values from ${say(Math.min(...known))} to ${say(most)}` : "no value yet"
    path.setAttribute("d", known.length ? "M" + points.filter(one => one).join("L") : "")
  }
}
const barOf = node => {
  const bar = add(node, "i")
  return part => (bar.style.width = Math.min(Math.max(part || 0, 0), 1) * 100 + "%")
}

// Return a function that measures the cell in a row, and one that shows it beside the numbers of the whole column.
const cellOf = (node, path, kind, of, unit) => {
  if (kind == "state") {
    const show = stateOf(node)
    let word
    return [row => (word = find(row, path)) && [], () => (isEmpty(word) ? put(node.lastChild, nothing) : show(text(word)))]
  }
  const word = add(node, "span")
  const bar = /share|bar/.test(kind) && barOf(node)
  const draw = /spark/.test(kind) && lineOf(node)
  const measure = /rate|^p\d/.test(kind) && lastMinute(kind)
  const say = value => number(value, kind, unit) + (/^rate-?(spark)?$/.test(kind) ? "/s" : "")
  let value, line, whole
  return [
    row => {
      value = find(row, path)
      if (measure) [value, line] = measure(value)
      whole = of && find(row, of)
      return [value, whole]
    },
    column => {
      let part
      let said = isEmpty(value) ? nothing : kind == "list" ? listed(value) : say(value)
      if (/share/.test(kind)) {
        part = value / column.reduce((sum, [one, group]) => (group === whole && one > 0 ? sum + one : sum), 0)
        said = part >= 0 ? rounded(part * 100) + " %" : nothing
      }
      if (kind == "bar") part = value / (of ? whole : Math.max(...column.map(([one]) => one || 0)))
      if (kind == "digest" && !isEmpty(value)) {
        node.title = text(value)
        said = node.title.slice(0, 12)
      }
      if (kind == "spark") line = value
      put(word, kind == "spark" ? "" : said)
      if (bar) bar(part)
      if (draw) draw(Array.isArray(line) ? line : [], say)
    },
  ]
}

// -- the parts of the page, each a function that shows a status -------------------------------------------------------

const main = byId("main")
const mostRows = 300
const section = title => {
  const made = add(main, "section")
  if (title) add(made, "h2", title)
  return made
}
const listOf = (parent, make) => {
  const list = add(parent, "ul")
  return each(list, () => {
    const line = document.createElement("li")
    return [line, make(line)]
  })
}
const tableOf = ({title, rows, key, columns, empty}) => {
  const made = section()
  const table = add(made, "table")
  add(add(table, "caption"), "h2", title)
  const head = add(add(table, "thead"), "tr")
  columns = columns.map(column => column.split("|"))
  for (const [name] of columns) add(head, "th", name).scope = "col"
  let cells
  const fill = each(add(table, "tbody"), () => {
    const line = document.createElement("tr")
    const all = columns.map(([name, path, kind = "", of, unit], i) => {
      const node = add(line, i ? "td" : "th")
      if (i) node.dataset.t = name
      else node.scope = "row"
      return cellOf(node, path, kind, of, unit)
    })
    return [line, row => cells.push(all.map(([measure, show]) => [measure(row), show]))]
  })
  const note = add(made, "p")
  note.className = "dim"
  return status => {
    cells = []
    const found = addRows([], status, rows.split("."))
    fill(new Map(found.slice(0, mostRows).map(row => [row[0].slice(0, key ? -1 : undefined) + "\n" + (key ? find(row, key) : ""), row])))
    columns.forEach((_, i) => {
      const column = cells.map(line => line[i][0])
      for (const line of cells) line[i][1](column)
    })
    head.hidden = !found.length
    made.hidden = head.hidden && !empty
    put(note, found[mostRows] ? `Only the first ${mostRows} rows are shown; the JSON has all.` : found.length ? "" : empty)
  }
}
const wordsOf = ({title, path}) => {
  const made = section(title)
  const fill = listOf(made, line => said => put(line, text(said)))
  return status => {
    const said = [find([[], [status]], path) || []].flat()
    made.hidden = !said.length
    fill(new Map(said.entries()))
  }
}
const leaves = (value, name = "", found = new Map()) => {
  if (isObject(value) && !Array.isArray(value)) for (const key in value) leaves(value[key], name + (name && ".") + key, found)
  else if (!isEmpty(value) && value.length !== 0) found.set(name, [name, value])
  return found
}
const factsOf = (title, pick) => {
  const made = add(main, "details")
  add(made, "summary", title)
  made.open = history.state?.[title] // what is open stays open in a page that is loaded again
  made.ontoggle = () => history.replaceState({...history.state, [title]: made.open}, "")
  const fill = each(add(add(made, "table"), "tbody"), () => {
    const line = document.createElement("tr")
    const name = add(line, "th")
    const value = add(line, "td")
    name.scope = "row"
    return [line, fact => (put(name, visible(fact[0])), put(value, listed(fact[1])))]
  })
  return status => fill(leaves(pick(status)))
}
const because = reasons => reasons?.map(text).join("; ") || ""

const troublesOf = () => {
  const made = section("Trouble")
  const fill = listOf(made, line => {
    const show = stateOf(line)
    return one => show(`${text(one.level)} ${text(one.code)}, ${text(one.count)} time${one.count == 1 ? "" : "s"}, ${duration(one.age_seconds)} ago: ${visible(one.message, 600)}`, one.level == "error" ? "bad" : "warn")
  })
  const note = add(made, "p")
  return ({trouble}) => {
    fill(new Map(trouble.map(one => [one.code, one])))
    put(note, trouble.length ? "" : "No warning and no error in the last 10 minutes.")
  }
}
const siblingsOf = () => {
  const made = section("Siblings")
  const proxied = /:\d+(?=\/proxy\/$)/ // as in /api/v1/namespaces/shop/pods/web:9913/proxy/
  made.hidden = true
  const fill = listOf(made, line => {
    const link = add(line, "a")
    const show = stateOf(add(line, "span"))
    return one => {
      const there = proxied.test(base) ? base.replace(proxied, ":" + one.port) : base == "/" && `//${location.hostname}:${one.port}/`
      if (there && one.state != "not here") link.href = there
      else link.removeAttribute("href")
      put(link, text(one.name))
      show(text(one.state) + (isEmpty(one.since_seconds) ? "" : " for " + duration(one.since_seconds)) + (one.reasons[0] ? ": " : "") + because(one.reasons))
    }
  })
  return ({siblings}) => {
    made.hidden = !siblings.length
    fill(new Map(siblings.map(one => [one.name + one.port, one])))
  }
}

const parts = [troublesOf(), ...picture.map(part => (part.rows ? tableOf : wordsOf)(part))]
const showSiblings = siblingsOf()
parts.push(factsOf("Process", status => Object.fromEntries(process.map(name => [name, status[name]]))), factsOf("Settings", status => status.settings))
// A screen reader says the state when it changes. The reasons beside it may have numbers that change all the time.
const showState = stateOf(byId("state"))
const headline = (state, since, name, why) => {
  showState(state + " since " + since)
  put(byId("why"), why)
  document.title = state + " · " + name
}
const showAll = status => {
  if (status.uptime_seconds < uptime) restarts++
  uptime = status.uptime_seconds
  headline(status.state, clock(new Date(status.since), 0), status.name, because(status.reasons))
  put(byId("age"), `for ${duration(status.since_seconds)}, as of ${clock(new Date())}`)
  for (const show of parts) show(status)
}

// -- refreshing -------------------------------------------------------------------------------------------------------

const interval = 2000
let wait = interval
let isPaused = false
let isBusy = false
let timer
let turn = 0
let lost // the time since which there is no answer

const ask = async path => {
  const response = await fetch(base + path, {signal: AbortSignal.timeout(5000)})
  if (!response.ok) throw response
  return response.json()
}
const refresh = async () => {
  clearTimeout(timer)
  if (isBusy || isPaused || document.hidden) return
  isBusy = true
  try {
    showAll(await ask("status?compact"))
    wait = interval
    lost = null
    if (hasSiblings && turn++ % 5 == 0) ask("siblings").then(showSiblings, () => {})
  } catch {
    lost ??= clock(new Date())
    headline("no answer", lost, firstStatus.name, "")
    wait = Math.min(wait * 2, 30000)
  }
  isBusy = false
  timer = setTimeout(refresh, wait)
}
const pause = document.createElement("button")
pause.textContent = "Pause"
byId("age").after(pause)
pause.onclick = () => {
  isPaused = !isPaused
  pause.ariaPressed = isPaused
  refresh()
}
document.onvisibilitychange = refresh
showAll(firstStatus)
timer = setTimeout(refresh, interval / 2)
