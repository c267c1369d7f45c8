// The sentence about the last reconnect.

import type { Resume } from 'ringfence';
import { count } from './format.ts';

export interface ResumeText {
  /** What the visitor wants to know. */
  readonly verdict: string;
  readonly detail: string;
  readonly missed: boolean;
}

export function resumeText(resume: Resume): ResumeText {
  const detail = resume.replayed > 0 ? `replayed ${count(resume.replayed)}` : '';
  if (resume.missed === null) return { verdict: 'missed an unknown number', detail, missed: true };
  if (resume.missed > 0) return { verdict: `missed ${count(resume.missed)}`, detail, missed: true };
  return { verdict: 'nothing missed', detail, missed: false };
}
